/** The API's table of contents: the order of the middleware, and every route. */
import { Hono } from 'hono';
import { getPath } from 'hono/utils/url';
import type { AppTypes } from './http/app-types.ts';
import { requireApiKey, requireOperator } from './http/authenticate.ts';
import { errorResponse } from './http/error-response.ts';
import { requestFrame } from './http/request-frame.ts';
import { accountRoutes } from './http/routes/account.ts';
import { adminAccountRoutes } from './http/routes/admin-accounts.ts';
import { adminInviteRoutes } from './http/routes/admin-invites.ts';
import { adminMasterKeyRoutes } from './http/routes/admin-master-key.ts';
import { apiKeyRoutes } from './http/routes/api-keys.ts';
import { broadcastRoutes } from './http/routes/broadcasts.ts';
import { contactExportRoutes } from './http/routes/contact-export.ts';
import { contactImportRoutes } from './http/routes/contact-imports.ts';
import { contactPropertyRoutes } from './http/routes/contact-properties.ts';
import { contactRoutes } from './http/routes/contacts.ts';
import { domainRoutes } from './http/routes/domains.ts';
import { emailAttachmentRoutes } from './http/routes/email-attachments.ts';
import { emailExportRoutes } from './http/routes/email-export.ts';
import { emailRoutes } from './http/routes/emails.ts';
import { eventRoutes } from './http/routes/events.ts';
import { audienceContactRoutes, listRoutes } from './http/routes/lists.ts';
import { attachmentDownloadRoutes } from './http/routes/public/attachments.ts';
import { confirmRoutes } from './http/routes/public/confirm.ts';
import { healthRoutes } from './http/routes/public/health.ts';
import { joinRoutes } from './http/routes/public/join.ts';
import { preferenceRoutes, unsubscribeRoutes } from './http/routes/public/unsubscribe.ts';
import { rawEmailRoutes } from './http/routes/raw-emails.ts';
import { confirmationRoutes, registrationRoutes } from './http/routes/registration.ts';
import { relayRoutes } from './http/routes/relays.ts';
import { suppressionRoutes } from './http/routes/suppressions.ts';
import { templateRoutes } from './http/routes/templates.ts';
import { topicRoutes } from './http/routes/topics.ts';
import { webhookRoutes } from './http/routes/webhooks.ts';
import { refuseOtherMethods, unknownRoute } from './http/unknown-route.ts';

export const app = new Hono<AppTypes>({
  // For a path that is literally a route's pattern, `/relays/:id`, the router would find each handler twice.
  getPath: (request) => getPath(request).replaceAll('/:', '/%3A'),
});

app.onError((error, c) => errorResponse(c, error));
const unknown = unknownRoute(app);
app.notFound(unknown);

app.use('*', requestFrame);
app.use('*', refuseOtherMethods(unknown));
app.use('/v1/admin/*', requireOperator);
// Before the middleware that asks for a key: somebody who registers has none.
app.route('/v1/accounts', registrationRoutes);
app.use('/v1/*', requireApiKey);

app.route('/confirm', confirmRoutes);
app.route('/health', healthRoutes);
app.route('/attachments', attachmentDownloadRoutes);
app.route('/join', joinRoutes);
app.route('/preferences', preferenceRoutes);
app.route('/u', unsubscribeRoutes);
app.route('/v1/account', accountRoutes);
app.route('/v1/account/resend-confirmation', confirmationRoutes);
app.route('/v1/admin/accounts', adminAccountRoutes);
app.route('/v1/admin/invites', adminInviteRoutes);
app.route('/v1/admin/master-key', adminMasterKeyRoutes);
app.route('/v1/api-keys', apiKeyRoutes);
app.route('/v1/broadcasts', broadcastRoutes);
app.route('/v1/contacts/imports', contactImportRoutes);
app.route('/v1/contacts/export', contactExportRoutes);
app.route('/v1/contacts', contactRoutes);
app.route('/v1/contact-properties', contactPropertyRoutes);
app.route('/v1/domains', domainRoutes);
app.route('/v1/emails/export', emailExportRoutes);
app.route('/v1/emails', emailRoutes);
app.route('/v1/emails/raw', rawEmailRoutes);
app.route('/v1/emails', emailAttachmentRoutes);
app.route('/v1/events', eventRoutes);
app.route('/v1/lists', listRoutes('list'));
app.route('/v1/segments', listRoutes('segment'));
app.route('/v1/audiences', listRoutes('audience'));
app.route('/v1/audiences', audienceContactRoutes);
app.route('/v1/relays', relayRoutes);
app.route('/v1/suppressions', suppressionRoutes);
app.route('/v1/topics', topicRoutes);
app.route('/v1/templates', templateRoutes);
app.route('/v1/webhooks', webhookRoutes);
