/** What the suites install from PyPI. Pinned: what differs between two judges must not change by itself. */
export const BOTO3 = 'boto3==1.44.5';
export const MOTO = 'moto[server]==5.2.5';
