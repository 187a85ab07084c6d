'use client';

import { useRouter } from 'next/navigation';
import { type ReactNode, useEffect } from 'react';
import { MultisessionAppSupport, useSession } from 'tower-auth-session/react';

/**
 * Recreates `children` when another account is shown, and has the server render them again.
 * `renderedFor` is the session that they were rendered for.
 */
export function AppSupport({
  children,
  renderedFor,
}: {
  readonly children: ReactNode;
  readonly renderedFor: string | null | undefined;
}) {
  const router = useRouter();
  const { isLoaded, session } = useSession();
  const isOther = isLoaded && renderedFor !== (session?.id ?? null);
  const id = session?.id;
  useEffect(() => {
    if (isOther) router.refresh();
  }, [isOther, id, router]);
  return (
    <MultisessionAppSupport renderedFor={renderedFor} fallback={<Loading />}>
      {children}
    </MultisessionAppSupport>
  );
}

function Loading() {
  return <p role="status">Loading…</p>;
}
