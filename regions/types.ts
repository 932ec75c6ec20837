/** Codes of the legal territories we know. A cell serves exactly one. */
export type JurisdictionCode = string;

/**
 * One region we serve: a legal territory, the AWS regions that lie in it, and how its cell is reached.
 *
 * The list of AWS regions is an allow-list, never a prefix: `eu-west-2` (London) and `eu-central-2` (Zurich) are not in
 * the European Union although their names begin like those that are.
 */
export type Region = {
  /** The cell's code, the second part of every id and key: `us`, `eu`, `ca`, … */
  readonly cell: string;
  readonly jurisdiction: { readonly code: JurisdictionCode; readonly name: string };
  /** AWS regions inside the jurisdiction, the only ones whose resources this cell protects and stores in. */
  readonly awsRegions: readonly string[];
  /** Where the cell itself runs: its database, bucket and keys. */
  readonly homeAwsRegion: string;
  /** AWS partition and DNS suffix: ARNs and host names are built from these, never from a literal. */
  readonly partition: string;
  readonly dnsSuffix: string;
  /** The cell's own public address. Deployments override it; the router hands it to clients. */
  readonly url: string;
  /** Hosts outside AWS that `AWS_ENDPOINT_URL*` may name for this region. Loopback is always allowed. */
  readonly allowedEndpointHosts: readonly string[];
};
