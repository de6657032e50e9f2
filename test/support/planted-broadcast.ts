/** A broadcast of marked words, to contacts of marked words, by way of a template of them; all of it is sent. */
import type { ApiAnswer, ApiClient } from './api-client.ts';
import { canary } from './canary.ts';
import type { ScriptedServer } from './scripted-smtp-server.ts';

export const plantedInBroadcast = {
  reader: canary('reader'),
  otherReader: canary('otherreader'),
  readerDomain: `${canary('readerdomain')}.example`,
  readerFirstName: canary('readerfirstname'),
  readerLastName: canary('readerlastname'),
  readerKey: canary('readerkey'),
  readerValue: canary('readervalue'),
  readerFallback: canary('readerfallback'),
  audienceName: canary('audiencename'),
  broadcastName: canary('broadcastname'),
  broadcastSender: canary('broadcastsender'),
  broadcastSubject: canary('broadcastsubject'),
  broadcastReplyTo: canary('broadcastreplyto'),
  broadcastPreview: canary('broadcastpreview'),
  broadcastHtml: canary('broadcasthtml'),
  broadcastKey: canary('broadcastkey'),
  templateName: canary('templatename'),
  templateAlias: canary('templatealias'),
  templateText: canary('templatetext'),
  templateVariable: canary('templatevariable'),
  templateValue: canary('templatevalue'),
  sampleName: canary('samplename'),
  tester: canary('tester'),
} as const;

/** Resolves once every reader has both broadcasts, in his own words, and somebody the test of one. */
export async function plantBroadcasts(client: ApiClient, server: ScriptedServer): Promise<void> {
  const words = plantedInBroadcast;
  const made = async (path: string, body: object, key?: string): Promise<string> => {
    const answer = await client.post(path, body, key === undefined ? {} : { 'idempotency-key': key });
    if (answer.status >= 300) throw new Error(`${path} answered ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  };
  const list = await made('/v1/lists', { name: words.audienceName });
  const property = { key: words.readerKey, type: 'string', fallback_value: words.readerFallback };
  await made('/v1/contact-properties', property);
  const reader = { first_name: words.readerFirstName, last_name: words.readerLastName, segments: [list] };
  const readers = [words.reader, words.otherReader].map((name) => `${name}@${words.readerDomain}`);
  const [first = '', second = ''] = readers;
  await made('/v1/contacts', {
    ...reader,
    email: first,
    properties: { [words.readerKey]: words.readerValue },
  });
  await made('/v1/contacts', { ...reader, email: second });
  const written = {
    segment_id: list,
    name: words.broadcastName,
    from: `${words.broadcastSender} <news@example.com>`,
    subject: `${words.broadcastSubject} {{contact.first_name}}`,
    reply_to: `${words.broadcastReplyTo}@example.com`,
    preview_text: `${words.broadcastPreview} {{contact.last_name}}`,
    html: `<p>${words.broadcastHtml}</p>\n<p>{{contact.${words.readerKey}}}</p>\n<p>{{contact.email}}</p>`,
  };
  const draft = await made('/v1/broadcasts', written);
  const sample = { first_name: words.sampleName, properties: { [words.readerKey]: words.readerValue } };
  const to = `${words.tester}@example.net`;
  const test = await made(`/v1/broadcasts/${draft}/test`, { to, contact: sample });
  const template = {
    name: words.templateName,
    alias: words.templateAlias,
    subject: '{{contact.last_name}}',
    html: `<p>${words.templateText}</p>\n<p>{{${words.templateVariable}}}</p>\n<p>{{contact.email}}</p>`,
    variables: [{ key: words.templateVariable, type: 'string' }],
  };
  const templateId = await made('/v1/templates', template);
  await client.post(`/v1/templates/${templateId}/publish`);
  const variables = { [words.templateVariable]: words.templateValue };
  const { html: _written, subject: _own, ...frame } = written;
  const templated = { ...frame, template: { id: words.templateAlias, variables } };
  const sent = [
    await made('/v1/broadcasts', { ...written, send: true }, words.broadcastKey),
    await made('/v1/broadcasts', { ...templated, send: true }),
  ];
  for (const id of sent) {
    await client.until(`/v1/broadcasts/${id}`, ({ progress }) => progress?.delivered === readers.length);
  }
  await client.until(`/v1/emails/${test}`, ({ last_event: event }) => event === 'delivered');
  const mail = server.messages.map(({ data }) => data.toString().replaceAll('=\r\n', '')).join('\n');
  // By these it is only found.
  const kept: readonly string[] = [
    words.audienceName,
    words.broadcastName,
    words.broadcastKey,
    words.readerKey,
    words.templateName,
    words.templateAlias,
    words.templateVariable,
  ];
  const missing = Object.values(words).filter((word) => !kept.includes(word) && !mail.includes(word));
  if (missing.length > 0) throw new Error(`not in the mail that was sent: ${missing.join(', ')}`);
}

/** Requests about broadcasts that are refused, with the words in them. */
export async function provokeBroadcastErrors(client: ApiClient): Promise<ApiAnswer[]> {
  const { broadcastHtml, broadcastName, broadcastSubject, reader, sampleName, tester } = plantedInBroadcast;
  const list = (await client.get('/v1/lists?limit=1')).body.data[0].id;
  const draft = { segment_id: list, from: 'a@example.com', subject: 'x', html: 'x' };
  const { id } = (await client.post('/v1/broadcasts', { ...draft, name: broadcastName })).body;
  return [
    await client.post('/v1/broadcasts', { ...draft, segment_id: broadcastName }),
    await client.post('/v1/broadcasts', { ...draft, subject: `${broadcastSubject}\n` }),
    await client.post('/v1/broadcasts', { ...draft, html: `{{#if ${broadcastHtml}}}` }),
    await client.post('/v1/broadcasts', { ...draft, from: reader }),
    await client.post('/v1/broadcasts', { ...draft, template: { id: broadcastName } }),
    await client.post(`/v1/broadcasts/${id}/test`, { to: tester, contact: { first_name: sampleName } }),
    await client.get(`/v1/broadcasts/${id}/recipients?email=${reader}`),
    await client.get(`/v1/broadcasts/${broadcastName}`),
  ];
}
