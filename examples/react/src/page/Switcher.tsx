import { type FocusEvent, type KeyboardEvent, useEffect, useRef } from 'react';

import type { Session } from '../session/list';
import { useSession } from '../session/useSession';
import { Avatar } from './Avatar';
import { SIGN_IN } from './links';

/** The account of this page, and the others behind it. Tab, Enter and Escape are enough. */
export function Switcher({ session }: { readonly session: Session }) {
  const { sessions, pinned, busy, switchTo, signOut, signOutOfAll } = useSession();
  const menu = useRef<HTMLDetailsElement>(null);
  const close = () => menu.current?.removeAttribute('open');

  useEffect(() => {
    const whenPressedElsewhere = ({ target }: PointerEvent) => {
      if (target instanceof Node && !menu.current?.contains(target)) close();
    };
    document.addEventListener('pointerdown', whenPressedElsewhere);
    return () => document.removeEventListener('pointerdown', whenPressedElsewhere);
  }, []);

  const whenLeft = ({ currentTarget, relatedTarget }: FocusEvent) => {
    if (relatedTarget !== null && !currentTarget.contains(relatedTarget)) close();
  };
  const whenTyped = ({ key }: KeyboardEvent) => {
    if (key !== 'Escape' || !menu.current?.open) return;
    close();
    menu.current.querySelector('summary')?.focus();
  };

  const others = sessions.filter(({ id }) => id !== session.id);
  return (
    <details className="menu" ref={menu} onBlur={whenLeft} onKeyDown={whenTyped}>
      <summary>
        <Avatar name={session.label} />
        {session.label}
      </summary>
      <div>
        <a href="/me">Your account</a>
        {others.length > 0 && (
          <ul role="list">
            {others.map(({ id, label, detail }) => (
              <li key={id}>
                <button type="button" aria-disabled={busy} onClick={() => switchTo(id)}>
                  <Avatar name={label} />
                  <span>
                    <span className="spoken">
                      {pinned === null ? 'Switch to ' : 'Use in this tab: '}
                    </span>
                    {label}
                    {detail !== null && <small>{detail}</small>}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        )}
        <a href={SIGN_IN}>Add account</a>
        <button type="button" aria-disabled={busy} onClick={() => signOut(session.id)}>
          Sign out
        </button>
        {others.length > 0 && (
          <button type="button" aria-disabled={busy} onClick={signOutOfAll}>
            Sign out of all
          </button>
        )}
      </div>
    </details>
  );
}
