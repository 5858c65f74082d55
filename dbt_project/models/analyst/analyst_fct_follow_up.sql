select * exclude (content)
from {{ same_file(ref('fct_follow_up')) }}
