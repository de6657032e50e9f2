import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/contact-properties.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const fallback = z.union([z.string().max(service.MAX_VALUE_LENGTH), z.number(), z.null()]);
export const createPropertyBody = z.strictObject({
  key: z
    .string()
    .max(50)
    .regex(/^[A-Za-z0-9_]+$/, 'must have letters, digits and underscores only')
    // No body may have such a key.
    .refine((key) => !['__proto__', 'constructor', 'prototype'].includes(key), 'is reserved'),
  type: z.enum(['string', 'number']),
  fallback_value: fallback.optional(),
  // Our own.
  is_filterable: z.boolean().optional(),
});
export const updatePropertyBody = z.strictObject({ fallback_value: fallback });

function propertyBody(property: service.ContactProperty) {
  return {
    id: property.id,
    key: property.key,
    type: property.type,
    fallback_value: property.fallback,
    is_filterable: property.isFilterable,
    created_at: isoTime(property.createdAt),
  };
}

export const contactPropertyRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createPropertyBody), async (c) => {
    const { key, type, fallback_value, is_filterable: isFilterable = false } = c.req.valid('json');
    const input = { key, type, fallback: fallback_value ?? null, isFilterable };
    const id = await service.createProperty(serviceContextOf(c), input);
    return c.json({ object: 'contact_property', id }, 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listProperties(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, propertyBody));
  })
  .get('/:id', async (c) => {
    const property = await service.getProperty(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'contact_property', ...propertyBody(property) });
  })
  .patch('/:id', jsonBody(updatePropertyBody), async (c) => {
    const id = c.req.param('id');
    await service.updateProperty(serviceContextOf(c), id, { fallback: c.req.valid('json').fallback_value });
    return c.json({ object: 'contact_property', id });
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteProperty(serviceContextOf(c), id);
    return c.json({ object: 'contact_property', id, deleted: true });
  });
