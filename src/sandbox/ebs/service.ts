import type { AwsRequest, AwsService } from '../service.ts';
import type { World } from '../ec2/world-state.ts';
import { getBlock, type Lister, listBlocks, listChangedBlocks } from './read.ts';
import { createTokens } from './tokens.ts';
import { completeSnapshot, putBlock, startSnapshot } from './write.ts';
import { ebsError } from './request.ts';

type Route = {
  method: string;
  pattern: RegExp;
  handle: (ask: {
    world: World;
    lister: Lister;
    request: AwsRequest;
    parts: readonly string[];
  }) => ReturnType<AwsService['handle']>;
};

const ROUTES: Route[] = [
  {
    method: 'GET',
    pattern: /^\/snapshots\/([^/]+)\/blocks\/([^/]+)$/,
    handle: ({ world, lister, request, parts }) => getBlock(world, lister, request, parts),
  },
  {
    method: 'PUT',
    pattern: /^\/snapshots\/([^/]+)\/blocks\/([^/]+)$/,
    handle: ({ world, request, parts }) => putBlock(world, request, parts),
  },
  {
    method: 'GET',
    pattern: /^\/snapshots\/([^/]+)\/blocks$/,
    handle: async ({ world, lister, request, parts }) => listBlocks(world, lister, request, parts),
  },
  {
    method: 'GET',
    pattern: /^\/snapshots\/([^/]+)\/changedblocks$/,
    handle: async ({ world, lister, request, parts }) => listChangedBlocks(world, lister, request, parts),
  },
  {
    method: 'POST',
    pattern: /^\/snapshots\/completion\/([^/]+)$/,
    handle: ({ world, request, parts }) => completeSnapshot(world, request, parts),
  },
  { method: 'POST', pattern: /^\/snapshots$/, handle: async ({ world, request }) => startSnapshot(world, request) },
];

/** The EBS direct APIs (REST-JSON, signing name `ebs`). */
export function createEbs(world: World): AwsService {
  const lister: Lister = { tokens: createTokens(), generations: new Map() };
  return {
    async handle(request) {
      for (const { method, pattern, handle } of ROUTES) {
        const match = method === request.method ? pattern.exec(request.path) : null;
        if (match) return handle({ world, lister, request, parts: match.slice(1).map(decodeURIComponent) });
      }
      throw ebsError('UnknownOperationException', 404, 'There is no such operation.');
    },
    save: () => world.save(),
  };
}
