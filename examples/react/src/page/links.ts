/** The sign-in page, which redirects back here. */
export const SIGN_IN = `/sign-in?redirect_url=${encodeURIComponent(import.meta.env.BASE_URL)}`;
