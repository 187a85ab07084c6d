import { type ReactNode, useEffect, useState } from 'react';

import type { SessionClient } from '../client.js';
import { SessionRequestError } from '../request.js';
import type { Session } from '../session.js';
import { Avatar } from './Avatar.js';
import { useProvided, useSessionState } from './provider.js';
import type { UserButtonTexts } from './texts.js';
import { useMenu } from './useMenu.js';

export interface AccountMenuProps {
  /** Attributes of the root element. */
  readonly root: object;
  readonly texts: UserButtonTexts;
  readonly showName: boolean;
  readonly showAddAccount: boolean;
  readonly userProfileUrl: string | undefined;
  readonly afterSwitchSessionUrl: string | undefined;
}

/** The button of a browser with accounts, and its menu. */
export function AccountMenu({ root, texts, showName, ...props }: AccountMenuProps) {
  const { client, focusesUserButton } = useProvided('<UserButton>');
  const { session, sessions, isBusy } = useSessionState();
  const [problem, setProblem] = useState('');
  const menu = useMenu();
  const { buttonRef, close } = menu;

  // A switch may have recreated this component, which took the focus away.
  useEffect(() => {
    if (!focusesUserButton.current) return;
    focusesUserButton.current = false;
    if (document.activeElement === document.body) buttonRef.current?.focus();
  }, [buttonRef, focusesUserButton]);

  const run = async (action: (client: SessionClient) => Promise<void>) => {
    if (isBusy) return;
    setProblem('');
    focusesUserButton.current = true;
    try {
      await action(client);
      close();
      buttonRef.current?.focus();
    } catch (error) {
      setProblem(describe(error, texts));
    }
    // Unless it is recreated: then the new one resets it.
    if (buttonRef.current !== null) focusesUserButton.current = false;
  };

  const switchTo = (to: Session) => {
    if (to.id === session?.id) {
      close();
      buttonRef.current?.focus();
    } else {
      const redirectUrl = props.afterSwitchSessionUrl;
      void run(({ setActive }) => setActive({ session: to, redirectUrl }));
    }
  };

  const { signInUrl } = client.urls;
  const item = { role: 'menuitem', className: 'tas-item', tabIndex: -1 } as const;
  const action = { ...item, type: 'button', 'aria-disabled': isBusy } as const;
  return (
    <div {...root} ref={menu.rootRef} {...menu.rootProps}>
      <button type="button" className="tas-button" ref={buttonRef} {...menu.buttonProps}>
        <Face session={session} texts={texts} showName={showName} />
      </button>
      {menu.isOpen && (
        <div className="tas-popup">
          <div {...menu.menuProps} aria-label={texts.menu} aria-busy={isBusy}>
            {session !== null && props.userProfileUrl !== undefined && (
              <a {...item} href={props.userProfileUrl}>
                {texts.profile}
              </a>
            )}
            <div role="group" aria-label={texts.accounts} className="tas-accounts">
              {sessions.map((account) => (
                <button
                  {...action}
                  key={account.id}
                  role="menuitemradio"
                  aria-checked={account.id === session?.id}
                  onClick={() => switchTo(account)}
                >
                  <Account session={account} texts={texts} />
                </button>
              ))}
            </div>
            {props.showAddAccount && signInUrl !== undefined && (
              <a {...item} href={signInUrl}>
                {texts.addAccount}
              </a>
            )}
            {session !== null && (
              <button {...action} onClick={() => run(({ signOut }) => signOut())}>
                {texts.signOut}
              </button>
            )}
            {sessions.length > 1 && (
              <button {...action} onClick={() => run(({ signOut }) => signOut({ scope: 'browser' }))}>
                {texts.signOutOfAll}
              </button>
            )}
          </div>
          <p className="tas-error" role="alert">
            {problem}
          </p>
        </div>
      )}
    </div>
  );
}

interface FaceProps {
  readonly session: Session | null;
  readonly texts: UserButtonTexts;
  readonly showName: boolean;
}

/** What is on the button. */
function Face({ session, texts, showName }: FaceProps): ReactNode {
  if (session === null) return <span className="tas-name">{texts.chooseAccount}</span>;
  const { label } = session;
  return (
    <>
      <Avatar label={label} />
      <span className="tas-hidden">{texts.button.replace('{label}', () => label)}</span>
      {showName && (
        <span className="tas-name" aria-hidden="true">
          {label}
        </span>
      )}
    </>
  );
}

/** One account in the menu. */
function Account({ session, texts }: { readonly session: Session; readonly texts: UserButtonTexts }) {
  const detail = session.status === 'pending' ? texts.pending : session.detail;
  return (
    <>
      <Avatar label={session.label} />
      <span className="tas-account">
        {session.label} {detail !== null && <small>{detail}</small>}
      </span>
    </>
  );
}

function describe(error: unknown, texts: UserButtonTexts): string {
  if (!(error instanceof SessionRequestError)) throw error;
  if (error.status === null) return texts.noResponse;
  return error.status === 409 ? texts.notSignedIn : texts.refused;
}
