-- A source's own id (openid, external user id, lead number) would lead back to the person.
select
    * exclude (identity_key, source_id, reason_via_key)
from {{ same_file(ref('dim_identity')) }}
