/** In which we write to people who are no customers: the mail that asks them, and the pages for them. */
export const LANGUAGES = ['en', 'de', 'fr', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];
