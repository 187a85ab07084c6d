import { useEffect, useRef, useState } from 'react';
import { useSession } from 'tower-auth-session/react';

/**
 * Announces that the page shows another account. It is outside of what is recreated then. The focus may
 * be lost with what was recreated; it moves to the new heading.
 */
export function Changes() {
  const { isLoaded, session } = useSession();
  const shown = isLoaded ? (session?.id ?? 'none') : undefined;
  const label = session?.label;
  const before = useRef(shown);
  const [announcement, announce] = useState('');
  useEffect(() => {
    if (before.current !== undefined && before.current !== shown) {
      announce(label === undefined ? 'The page shows no account now.' : `The page shows ${label} now.`);
      const focused = document.activeElement;
      if (focused === null || focused === document.body) document.querySelector('h1')?.focus();
    }
    before.current = shown;
  }, [shown, label]);
  return (
    <p className="spoken" role="status">
      {announcement}
    </p>
  );
}
