import type { Context, Hono, MiddlewareHandler } from 'hono';
import { AppError } from '../errors.ts';
import type { AppTypes } from './app-types.ts';
import { errorResponse } from './error-response.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

type UnknownRoute = (c: Context<AppTypes>) => Response;

/** 405 with `allow` for a path that exists under another method, else 404. */
export function unknownRoute(app: Hono<AppTypes>): UnknownRoute {
  return (c) => {
    const allowed = METHODS.filter((method) =>
      // Middleware matches every method; only a handler has one of its own.
      app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method === method),
    );
    if (allowed.length === 0) return errorResponse(c, new AppError('route_not_found'));
    c.header('allow', allowed.join(', '));
    return errorResponse(c, new AppError('method_not_allowed'));
  };
}

/** Before authentication: OPTIONS carries no key. There is no CORS, so a preflight finds nothing to allow it. */
export function refuseOtherMethods(unknown: UnknownRoute): MiddlewareHandler<AppTypes> {
  return async (c, next) => {
    if (c.req.method === 'HEAD' || METHODS.includes(c.req.method)) return next();
    return unknown(c);
  };
}
