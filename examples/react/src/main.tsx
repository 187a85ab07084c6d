import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import '../../accounts/style.css';
import 'tower-auth-session/style.css';
import './page.css';

import { App } from './App';

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
