select * exclude (chief_complaint, treatment)
from {{ same_file(ref('fct_medical_record')) }}
