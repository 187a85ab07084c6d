export { SessionClient } from './client.js';
export type {
  EndpointPaths,
  GetTokenOptions,
  RedirectUrls,
  SessionClientOptions,
  SessionState,
  SetActiveOptions,
  SignOutOptions,
} from './options.js';
export type { TabStorage } from './page.js';
export { SessionRequestError } from './request.js';
export { fetchSessionList, type FetchSessionListOptions } from './server.js';
export {
  type Actor,
  parseSessionList,
  type Session,
  type SessionJson,
  type SessionList,
  type SessionListJson,
} from './session.js';
