import { tagFinding, type TagPattern } from './expression.ts';
import { isWildcard, matchesWildcard } from './wildcard.ts';

/** Volumes that are left out: by id, device name (`*` allowed), tag, or being the root volume. Exactly one field is there. */
export type VolumeRule = {
  volumeId?: string | undefined;
  deviceName?: string | undefined;
  tag?: TagPattern | undefined;
  root?: true | undefined;
};
/** A rule with where it stands: in which selection, and there at which JSON pointer. */
export type Exclusion = { selectionId: string; pointer: string; rule: VolumeRule };

type Volume = { volumeId: string; deviceName: string; tags: Record<string, string> };
export type VolumesOf = { volumes: readonly Volume[]; configuration: { rootDeviceName?: string | undefined } };

/** A volume that is not backed up, and the rule that says so, in words. */
export type ExcludedVolume = {
  volumeId: string;
  deviceName: string;
  selectionId: string;
  pointer: string;
  detail: string;
};

export const isRoot = (volume: { deviceName: string }, instance: Pick<VolumesOf, 'configuration'>): boolean =>
  volume.deviceName === instance.configuration.rootDeviceName;

/** Why a rule leaves a volume out; null: it does not. */
function whyOut(rule: VolumeRule, volume: Volume, root: boolean): string | null {
  if (rule.volumeId !== undefined) return rule.volumeId === volume.volumeId ? `volume ${rule.volumeId} is named` : null;
  if (rule.deviceName !== undefined) {
    if (!matchesWildcard(rule.deviceName, volume.deviceName)) return null;
    const like = isWildcard(rule.deviceName) ? `, like ${rule.deviceName}` : '';
    return `device is ${volume.deviceName}${like}`;
  }
  if (rule.tag) {
    const { met, fact } = tagFinding(volume.tags, rule.tag);
    return met ? fact : null;
  }
  return rule.root && root ? `${volume.deviceName} is the root volume` : null;
}

/** The volumes of an instance that exclusions leave out, each by the first rule that does. */
export function excludedVolumes(instance: VolumesOf, exclusions: readonly Exclusion[]): ExcludedVolume[] {
  return instance.volumes.flatMap((volume) => {
    const root = isRoot(volume, instance);
    for (const { selectionId, pointer, rule } of exclusions) {
      const detail = whyOut(rule, volume, root);
      if (detail !== null)
        return [{ volumeId: volume.volumeId, deviceName: volume.deviceName, selectionId, pointer, detail }];
    }
    return [];
  });
}
