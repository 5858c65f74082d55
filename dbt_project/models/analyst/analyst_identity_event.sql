select
    * exclude (identity_key, via_identity_key)
from {{ same_file(ref('identity_event')) }}
