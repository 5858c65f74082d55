select * exclude (content)
from {{ same_file(ref('fct_lead_event')) }}
