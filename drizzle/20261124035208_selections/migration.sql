ALTER TABLE "backup_jobs" ADD COLUMN "exclusions" jsonb DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_jobs" ADD COLUMN "excluded_volumes" jsonb;--> statement-breakpoint
ALTER TABLE "selections" ADD COLUMN "match" jsonb;--> statement-breakpoint
ALTER TABLE "selections" ADD COLUMN "exclude_volumes" jsonb DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "excluded_volumes" jsonb DEFAULT '[]' NOT NULL;--> statement-breakpoint
-- Jobs that are still open keep what they leave out.
UPDATE "backup_jobs" SET "exclusions" = (
  SELECT jsonb_agg(jsonb_build_object('selectionId', '', 'pointer', '/excludeVolumeIds', 'rule', jsonb_build_object('volumeId', excluded.volume)))
  FROM jsonb_array_elements("exclude_volume_ids") AS excluded(volume)
) WHERE jsonb_array_length("exclude_volume_ids") > 0;--> statement-breakpoint
ALTER TABLE "backup_jobs" DROP COLUMN "exclude_volume_ids";--> statement-breakpoint
ALTER TABLE "selections" ALTER COLUMN "connection_id" DROP NOT NULL;