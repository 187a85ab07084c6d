import { type NextRequest, NextResponse } from 'next/server';

import { serviceOrigin } from './lib/sessions';

/** Passes the service's own paths on to it, so that browsers see one origin. */
export function proxy({ nextUrl }: NextRequest): NextResponse {
  return NextResponse.rewrite(new URL(nextUrl.pathname + nextUrl.search, serviceOrigin()));
}

export const config = {
  matcher: ['/session/:path*', '/sign-in/:path*', '/sign-out', '/me', '/style.css'],
};
