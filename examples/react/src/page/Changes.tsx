import { useEffect, useRef, useState } from 'react';

import { useSession } from '../session/useSession';

/**
 * Says who the page is for when that changes. It stands outside of what is recreated then, which takes
 * the focus away with it: reading goes on at the new heading.
 */
export function Changes() {
  const { known, session } = useSession();
  const shown = known ? (session?.id ?? 'nobody') : undefined;
  const label = session?.label;
  const before = useRef(shown);
  const [said, say] = useState('');
  useEffect(() => {
    if (before.current !== undefined && before.current !== shown) {
      say(label === undefined ? 'No account is shown now.' : `This page is for ${label} now.`);
      const focused = document.activeElement;
      if (focused === null || focused === document.body) document.querySelector('h1')?.focus();
    }
    before.current = shown;
  }, [shown, label]);
  return (
    <p className="spoken" role="status">
      {said}
    </p>
  );
}
