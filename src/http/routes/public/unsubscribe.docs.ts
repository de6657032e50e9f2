import * as z from 'zod';
import type { OperationDocs, ResourceDocs } from '../../docs/resource-docs.ts';

const page = z.string().meta({ description: 'A page for people, in English, German, French or Spanish.' });
const example = '<!doctype html>…';
const contentType = 'text/html';
const HEADERS = { 'content-language': 'The language of the page: by `accept-language`.' };
const INVALID = { 400: { description: 'The link is not valid.', schema: page, example, contentType } };
const TOKEN = { token: 'From the link in the mail.' };
const FORM = 'application/x-www-form-urlencoded';

function shown(description: string): OperationDocs['responses'] {
  return { 200: { description, schema: page, example, contentType, headers: HEADERS } };
}

const oneClick = z.object({
  'List-Unsubscribe': z.literal('One-Click').meta({ description: 'What a mail program says.' }),
});
const preferences = z.object({
  do: z.enum(['save', 'end']).meta({ description: 'Save the choices, or end everything.' }),
  shown: z.array(z.string()).optional().meta({ description: 'The topics that were shown.' }),
  topic: z.array(z.string()).optional().meta({ description: 'Those of them that are wanted.' }),
});

export const unsubscribeDocs: ResourceDocs = {
  tag: 'Unsubscribing',
  description:
    'Where the links in mail lead: to end it, to choose it, or to confirm a place on a list. For people and their mail programs: it answers with pages, and needs no key.',
  operations: {
    'GET /u/:token': {
      operationId: 'showUnsubscribe',
      summary: 'Show the button that unsubscribes',
      description: 'Changes nothing.',
      path: TOKEN,
      responses: { ...shown('A page with a button.'), ...INVALID },
    },
    'POST /u/:token': {
      operationId: 'unsubscribe',
      summary: 'Unsubscribe',
      description:
        'What the button does, and the one click of RFC 8058. The body is not looked at. The answer is the same for a link that is not valid.',
      path: TOKEN,
      body: {
        schema: oneClick,
        example: { 'List-Unsubscribe': 'One-Click' },
        contentType: FORM,
        optional: true,
      },
      responses: shown('It is done.'),
    },
    'POST /u/:token/undo': {
      operationId: 'subscribeAgain',
      summary: 'Take it back',
      path: TOKEN,
      responses: { ...shown('It is done.'), ...INVALID },
    },
    'GET /preferences/:token': {
      operationId: 'showPreferences',
      summary: 'Show the topics and what was chosen',
      description: 'Changes nothing.',
      path: TOKEN,
      responses: { ...shown('A page with the public topics.'), ...INVALID },
    },
    'POST /preferences/:token': {
      operationId: 'savePreferences',
      summary: 'Choose topics',
      path: TOKEN,
      body: { schema: preferences, example: { do: 'end' }, contentType: FORM },
      responses: { ...shown('The page again.'), ...INVALID },
    },
    'GET /join/:token': {
      operationId: 'showJoin',
      summary: 'Show the button that confirms a place on a list',
      description: 'Changes nothing.',
      path: TOKEN,
      responses: { ...shown('A page with a button.'), ...INVALID },
    },
    'POST /join/:token': {
      operationId: 'confirmJoin',
      summary: 'Confirm a place on a list',
      path: TOKEN,
      responses: { ...shown('It is done.'), ...INVALID },
    },
  },
};
