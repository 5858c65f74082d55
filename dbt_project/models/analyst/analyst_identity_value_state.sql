select * exclude (value, owner_key, claimant_keys)
from {{ same_file(ref('identity_value_state')) }}
