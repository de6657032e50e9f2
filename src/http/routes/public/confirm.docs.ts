import * as z from 'zod';
import type { OperationDocs, ResourceDocs } from '../../docs/resource-docs.ts';

const page = z.string().meta({ description: 'A page for people.' });
const example = '<!doctype html>…';
const token = z.string().meta({ description: 'From the link in the mail.' });

function responses(description: string): OperationDocs['responses'] {
  return {
    200: { description, schema: page, example, contentType: 'text/html' },
    400: { description: 'The link is not valid.', schema: page, example, contentType: 'text/html' },
  };
}

export const confirmDocs: ResourceDocs = {
  tag: 'Confirmation',
  description: 'Where the link in a confirmation mail leads. For people: it answers with pages.',
  operations: {
    'GET /confirm': {
      operationId: 'showConfirmation',
      summary: 'Show the button that confirms an address',
      description: 'Changes nothing. Needs no key.',
      query: z.object({ token }),
      responses: responses('A page with a button.'),
    },
    'POST /confirm': {
      operationId: 'confirmAddress',
      summary: 'Confirm an address',
      description: 'What the button does. Needs no key.',
      body: {
        schema: z.object({ token }),
        example: { token: 'confirm.1.…' },
        contentType: 'application/x-www-form-urlencoded',
      },
      responses: responses('The address is confirmed.'),
    },
  },
};
