import { nestedList, text, textList } from '../wire/query.ts';
import { imageOf } from './images.ts';
import { arnOf, imageArn, requestTagKeys, resourceTagKeys, snapshotArn, type Tags } from './model.ts';
import { type Ask, ec2Error, endDryRun, instanceOf, type Operation, volumeOf } from './request.ts';
import { snapshotOf } from './snapshots.ts';

type Tagged = { awsRegion: string; accountId: string; tags: Tags };

/** What an id names, and its ARN. */
function tagged(ask: Ask, id: string): { item: Tagged; resource: string } {
  const [kind] = id.split('-');
  if (kind === 'i') {
    const item = instanceOf(ask, id);
    return { item, resource: arnOf('instance', item.awsRegion, item.accountId, id) };
  }
  if (kind === 'vol') {
    const item = volumeOf(ask, id);
    return { item, resource: arnOf('volume', item.awsRegion, item.accountId, id) };
  }
  if (kind === 'ami') {
    const item = imageOf(ask, id);
    return { item, resource: imageArn(item.awsRegion, id) };
  }
  if (kind !== 'snap') throw ec2Error('InvalidID', `The ID '${id}' is not valid`);
  const item = snapshotOf(ask, id);
  return { item, resource: snapshotArn(item.awsRegion, id) };
}

/** CreateTags and DeleteTags on instances, volumes, snapshots and images. `aws:` keys are AWS's own. */
function tagging(action: 'CreateTags' | 'DeleteTags'): Operation {
  return (ask) => {
    const { world, request, params } = ask;
    const pairs = nestedList(params, 'Tag').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? ''] as const);
    if (pairs.some(([key]) => key.startsWith('aws:')))
      throw ec2Error('InvalidParameterValue', 'Tag keys starting with aws: are reserved for internal use');
    const targets = textList(params, 'ResourceId').map((id) => {
      const { item, resource } = tagged(ask, id);
      const context = { ...resourceTagKeys(item.tags), ...requestTagKeys(Object.fromEntries(pairs)) };
      world.require(request, { action: `ec2:${action}`, resource, context });
      return item;
    });
    endDryRun(ask);
    for (const item of targets) {
      for (const [key, value] of pairs) {
        if (action === 'CreateTags') item.tags[key] = value;
        else delete item.tags[key];
      }
    }
    world.changed();
    return { return: true };
  };
}

export const TAG_OPERATIONS: Record<string, Operation> = {
  CreateTags: tagging('CreateTags'),
  DeleteTags: tagging('DeleteTags'),
};
