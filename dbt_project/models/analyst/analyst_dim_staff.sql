select
    * exclude (wecom_user_id)
    replace ({{ mask_name('staff_name') }} as staff_name, {{ mask_phone('phone') }} as phone)
from {{ same_file(ref('dim_staff')) }}
