export type { Page, PageOf } from '../store/page.ts';
