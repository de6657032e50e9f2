import type { Context } from 'hono';
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import type { ServiceContext } from '../services/service-context.ts';

/** What middleware hands to handlers. */
export interface AppTypes {
  Bindings: Env;
  Variables: {
    requestId: string;
    /** Set by authentication: absent on public routes and on those of the operator. */
    service?: ServiceContext;
    operator?: true;
    /** Set where the key may send from one domain only. */
    boundDomainId?: string;
    /** Called when the answer is ready: gives back what the request holds of the isolate's memory. */
    releaseBody?: () => void;
    errorCode?: string;
    /** Its answer has the headers of the frame. */
    isFramed?: true;
  };
}

export type AppContext = Context<AppTypes>;

/** Fails closed: a route that was mounted outside authentication has no account. */
export function serviceContextOf(c: Context<AppTypes>): ServiceContext {
  const service = c.get('service');
  if (!service) throw new AppError('missing_api_key');
  return service;
}
