/** The texts of the components. `{label}` is replaced by the name of an account. */
export interface UserButtonTexts {
  readonly button: string;
  readonly chooseAccount: string;
  readonly menu: string;
  readonly accounts: string;
  readonly pending: string;
  readonly profile: string;
  readonly addAccount: string;
  readonly signIn: string;
  readonly signOut: string;
  readonly signOutOfAll: string;
  readonly noResponse: string;
  readonly notSignedIn: string;
  readonly refused: string;
}

export const ENGLISH: UserButtonTexts = {
  button: 'Account: {label}',
  chooseAccount: 'Choose an account',
  menu: 'Account menu',
  accounts: 'Accounts',
  pending: 'Sign-in not complete',
  profile: 'Your account',
  addAccount: 'Add account',
  signIn: 'Sign in',
  signOut: 'Sign out',
  signOutOfAll: 'Sign out of all accounts',
  noResponse: 'The server did not respond. Please try again.',
  notSignedIn: 'This account is no longer signed in here.',
  refused: 'The server refused the request. Please try again.',
};
