export { isStoreUnavailable, storeFaultCode } from '../store/faults.ts';
