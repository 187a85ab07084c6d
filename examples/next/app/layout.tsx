import type { Metadata } from 'next';
import type { ReactNode } from 'react';
import { SessionProvider, UserButton } from 'tower-auth-session/react';
import 'tower-auth-session/style.css';

import { AppSupport } from '../components/AppSupport';
import { sessionList } from '../lib/sessions';
import './page.css';

export const metadata: Metadata = { title: 'Accounts with Next.js', icons: 'data:,' };

export default async function RootLayout({ children }: { children: ReactNode }) {
  const list = await sessionList();
  return (
    <html lang="en">
      <body>
        <SessionProvider
          initialState={list}
          signInUrl="/sign-in?redirect_url=/"
          afterMultiSessionSingleSignOutUrl="/"
        >
          <AppSupport renderedFor={list?.active}>
            <header>
              <nav aria-label="Account">
                <UserButton showName userProfileUrl="/me" />
              </nav>
            </header>
            <main>{children}</main>
          </AppSupport>
        </SessionProvider>
      </body>
    </html>
  );
}
