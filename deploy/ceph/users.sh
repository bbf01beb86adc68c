#!/bin/sh
# Makes the users of Raven's bucket on a Ceph cluster and prints their keys. Run it where radosgw-admin works.
# Tried by tests/deploy/test_ceph.py on a real cluster.
#
# The owner of the bucket is for administrators alone. The others own no bucket and can make none (--max-buckets -1): what
# they may do is said by policy.json.
set -eu
admin=${RADOSGW_ADMIN:-radosgw-admin}
$admin user create --uid=raven_owner --display-name='Raven, owner of the bucket' --max-buckets=1
for role in master worker scrub; do
  $admin user create --uid="raven_$role" --display-name="Raven $role" --max-buckets=-1
done
