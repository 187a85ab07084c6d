import { AccountMenu } from './AccountMenu.js';
import { useProvided, useSessionState } from './provider.js';
import { ENGLISH, type UserButtonTexts } from './texts.js';

export interface UserButtonProps {
  /** Shows the name of the account beside its initials. */
  readonly showName?: boolean | undefined;
  /** The page of the account. The menu links to it. */
  readonly userProfileUrl?: string | undefined;
  /** Where to go after switching to another account. The tab stays where it is by default. */
  readonly afterSwitchSessionUrl?: string | undefined;
  /** Whether the menu links to the provider's `signInUrl` to add an account: `true` by default. */
  readonly showAddAccount?: boolean | undefined;
  /** Which edges of button and menu are aligned: `end` by default. */
  readonly align?: 'start' | 'end' | undefined;
  /** `auto`, the default, follows the operating system. */
  readonly colorScheme?: 'auto' | 'light' | 'dark' | undefined;
  readonly className?: string | undefined;
  /** Texts in place of the English ones. */
  readonly texts?: Partial<UserButtonTexts> | undefined;
}

/**
 * The account that this tab shows, with a menu to switch, to add an account and to sign out. Without an
 * account it is a link to the provider's `signInUrl`. It needs `tower-auth-session/style.css`.
 */
export function UserButton(props: UserButtonProps) {
  const { client } = useProvided('<UserButton>');
  const { isLoaded, sessions } = useSessionState();
  const { signInUrl } = client.urls;
  const texts = { ...ENGLISH, ...props.texts };
  const root = {
    className: ['tas-user-button', props.className].filter(Boolean).join(' '),
    'data-align': props.align ?? 'end',
    'data-color-scheme': props.colorScheme ?? 'auto',
  };
  if (!isLoaded) {
    return (
      <div {...root} aria-hidden="true">
        <span className="tas-button">
          <span className="tas-avatar" />
        </span>
      </div>
    );
  }
  if (sessions.length === 0) {
    return signInUrl === undefined ? null : (
      <div {...root}>
        <a className="tas-sign-in" href={signInUrl}>
          {texts.signIn}
        </a>
      </div>
    );
  }
  return (
    <AccountMenu
      root={root}
      texts={texts}
      showName={props.showName ?? false}
      showAddAccount={props.showAddAccount ?? true}
      userProfileUrl={props.userProfileUrl}
      afterSwitchSessionUrl={props.afterSwitchSessionUrl}
    />
  );
}
