/** Where people sign in, and come back from. */
export const SIGN_IN = `/sign-in?redirect_url=${encodeURIComponent(import.meta.env.BASE_URL)}`;
