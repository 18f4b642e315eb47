export { dropTemplate as default } from './templates.mjs';
