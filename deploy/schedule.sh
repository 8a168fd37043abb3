#!/usr/bin/env bash
# Makes Cloud Scheduler start the template every night: deploy/schedule.sh PROJECT REGION BUCKET
# The body of the request is deploy/launch.json, with these three filled in. A run that is still going when the
# next one starts shares the photos with it.
set -euo pipefail
if (($# != 3)); then
    echo "usage: deploy/schedule.sh PROJECT REGION BUCKET" >&2
    exit 2
fi
project=$1 region=$2 bucket=$3
body=$(mktemp)
trap 'rm -f "$body"' EXIT
sed -e "s/PROJECT/$project/g" -e "s/REGION/$region/g" -e "s/BUCKET/$bucket/g" "$(dirname "$0")/launch.json" >"$body"
gcloud scheduler jobs create http foveate-nightly \
    --project="$project" \
    --location="$region" \
    --schedule='0 2 * * *' \
    --time-zone=Etc/UTC \
    --uri="https://dataflow.googleapis.com/v1b3/projects/$project/locations/$region/flexTemplates:launch" \
    --http-method=POST \
    --headers=Content-Type=application/json \
    --message-body-from-file="$body" \
    --oauth-service-account-email="foveate@$project.iam.gserviceaccount.com" \
    --attempt-deadline=180s \
    --max-retry-attempts=0
