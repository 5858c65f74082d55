{# Among several files of one customer the newest value that is not missing wins, column by column. The three source
   levels are one answer to one question and travel together. #}
{% set surviving = [
    'name', 'nickname', 'gender', 'birth_date', 'id_number', 'city', 'phone', 'medical_record_no', 'clinic_id', 'patient_type',
    'member_level', 'source_levels', 'remark', 'online_consultant_id', 'consultant_id', 'responsible_doctor_id',
    'customer_service_id',
] %}
with
customers as (select * from {{ ref('int_patient_customer') }}),
patients as (select * from {{ ref('stg_saas__patients') }}),
own_phones as (select * from {{ ref('int_patient_own_phone') }}),
files as (
    select
        customers.customer_key,
        {{ recency('patients.updated_at', 'patients.patient_id') }} as recency,
        patients.* replace (nullif(patients.gender, '未知') as gender),
        case
            when patients.source_level_1 is not null
                then [patients.source_level_1, patients.source_level_2, patients.source_level_3]
        end as source_levels,
        {{ national_phone('own_phones.phone_e164', 'own_phones.phone') }} as phone
    from patients
    inner join customers using (patient_id)
    left join own_phones using (patient_id)
),
-- Most customers have one file; only the others pay for a competition of seventeen columns.
customers_with_several as (
    select
        customer_key,
        list_sort(list(distinct clinic_id)) as clinic_ids
    from files
    group by customer_key
    having count(*) > 1
),
only_files as (
    select
        customer_key,
        {% for column in surviving -%}
        {{ column }},
        {% endfor -%}
        [clinic_id] as clinic_ids
    from files
    anti join customers_with_several using (customer_key)
),
surviving_values as (
    select
        customer_key,
        {% for column in surviving -%}
        max_by({{ column }}, recency) as {{ column }}{{ "," if not loop.last }}
        {% endfor %}
    from files
    semi join customers_with_several using (customer_key)
    group by customer_key
)
select * from only_files
union all
select
    surviving_values.*,
    customers_with_several.clinic_ids
from surviving_values
inner join customers_with_several using (customer_key)
