select
    * exclude (avatar_url, patient_remark)
    replace (
        {{ mask_name('nickname') }} as nickname,
        {{ mask_name('name') }} as name,
        {{ mask_id_number('id_number') }} as id_number,
        {{ mask_phone('phone') }} as phone,
        {{ mask_name('online_consultant_name') }} as online_consultant_name,
        {{ mask_name('consultant_name') }} as consultant_name,
        {{ mask_name('responsible_doctor_name') }} as responsible_doctor_name,
        {{ mask_name('customer_service_name') }} as customer_service_name,
        {{ mask_name('last_visit_doctor_name') }} as last_visit_doctor_name
    )
from {{ same_file(ref('dim_customer')) }}
