/** A port of loopback that nothing listens on right now. */
export { anyFreePort as freePort } from '../../scripts/ports.ts';
