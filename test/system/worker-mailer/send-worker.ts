/** A Worker that sends one message with worker-mailer and answers what came of it. */
import { WorkerMailer } from 'worker-mailer';

export interface SendRequest {
  readonly options: Parameters<typeof WorkerMailer.send>[0];
  readonly message: Parameters<typeof WorkerMailer.send>[1];
}

/** `error` is what a caller can know of a failure: the text, and the names of the fields that carry more. */
export type SendAnswer =
  | { readonly returned: string }
  | { readonly error: { readonly text: string; readonly fields: readonly string[] } };

export default {
  async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === '/alive') return new Response('alive');
    const { options, message } = (await request.json()) as SendRequest;
    return Response.json(await send(options, message));
  },
};

async function send(options: SendRequest['options'], message: SendRequest['message']): Promise<SendAnswer> {
  try {
    const returned: unknown = await WorkerMailer.send(options, message);
    return { returned: typeof returned };
  } catch (error) {
    if (!(error instanceof Error)) return { error: { text: String(error), fields: [] } };
    return { error: { text: error.message, fields: Object.keys(error) } };
  }
}
