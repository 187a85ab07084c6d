'use client';

export { type UseSession, useSession, type UseSessionList, useSessionList } from './hooks.js';
export { MultisessionAppSupport, type MultisessionAppSupportProps } from './MultisessionAppSupport.js';
export {
  SessionProvider,
  type SessionProviderProps,
  useSessionClient,
  useSessionState,
} from './provider.js';
export type { UserButtonTexts } from './texts.js';
export { UserButton, type UserButtonProps } from './UserButton.js';
