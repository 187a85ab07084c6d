'use client';

import { useState } from 'react';
import { SessionRequestError } from 'tower-auth-session';
import { useSessionList } from 'tower-auth-session/react';

/** The accounts to choose from while none is active. */
export function Accounts() {
  const { sessions, setActive } = useSessionList();
  const [problem, setProblem] = useState('');
  const choose = async (id: string) => {
    try {
      await setActive?.({ session: id });
    } catch (error) {
      if (!(error instanceof SessionRequestError)) throw error;
      setProblem('This account cannot be used now. Please try again.');
    }
  };
  return (
    <>
      <ul>
        {sessions?.map(({ id, label }) => (
          <li key={id}>
            <button type="button" onClick={() => choose(id)}>
              Continue as {label}
            </button>
          </li>
        ))}
      </ul>
      <p role="alert">{problem}</p>
    </>
  );
}
