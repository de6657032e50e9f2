/** Broadcasts of an account that is there by the time of the call, and what became of them. */
import { callsOf, type JsonObject, type TestAccount, textAt } from './control-plane.ts';

export function broadcastCalls(account: () => TestAccount) {
  const { ask, made } = callsOf(account);
  const written = (list: string, more: object = {}) => ({
    segment_id: list,
    from: 'News <news@acme.example>',
    subject: 'News',
    html: '<p>Hello {{contact.first_name|there}}</p>',
    ...more,
  });
  const read = async (id: string) => (await ask(`/v1/broadcasts/${id}`)).body;
  return {
    ask,
    made,
    written,
    read,
    created: (list: string, more: object = {}) => made('/v1/broadcasts', written(list, more)),
    async refusalOf(path: string, body?: unknown, method?: string) {
      const answer = await ask(path, body, method);
      return [answer.status, answer.body.code, answer.body.message];
    },

    /** A list of its own with these people on it. */
    async listOf(people: readonly object[]): Promise<string> {
      const id = await made('/v1/lists', { name: 'People' });
      for (const person of people) await made('/v1/contacts', { ...person, segments: [{ id }] });
      return id;
    },

    /** As it is once it is over and everybody has his outcome. */
    async untilOver(id: string): Promise<JsonObject> {
      for (;;) {
        const broadcast = await read(id);
        const { total, delivered, skipped, failed, suppressed, canceled } = Object(broadcast.progress);
        const done = delivered + skipped + failed + suppressed + canceled;
        const isOver = ['sent', 'canceled', 'failed'].includes(String(broadcast.status));
        if (isOver && (broadcast.status !== 'sent' || done >= total)) return broadcast;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },

    /** What went to each address. */
    async mailsOf(id: string): Promise<Map<string, JsonObject>> {
      const { body } = await ask(`/v1/emails?broadcast_id=${id}&limit=100`);
      const mails = new Map<string, JsonObject>();
      for (const { id: email } of body.data as readonly { readonly id: string }[]) {
        const mail = (await ask(`/v1/emails/${email}`)).body;
        mails.set(textAt(mail, 'to', 0), mail);
      }
      return mails;
    },
  };
}
