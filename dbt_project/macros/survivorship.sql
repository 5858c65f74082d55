{# Which value of an attribute survives is declared in `vars` of dbt_project.yml and becomes SQL here. #}

{# The numbers that operators took off records (`detach`): what the relation `detached` of a model holds. #}
{% macro detached() -%}
    select a as key, b as number from {{ source('identity', 'override_seen') }} where kind = 'detach'
{%- endmacro %}


{# The phone that a record gives, as people here write it; null where the relation `detached` takes it off the record. #}
{% macro given_phone(key, e164, original) -%}
case
    when ({{ key }}, coalesce({{ e164 }}, '')) not in (select key, number from detached)
        then {{ national_phone(e164, original) }}
end
{%- endmacro %}


{# What each source can say of a customer: attribute → expression over the rows that the source's model reads. Models
   that ask for these have the relation `detached`. #}
{% macro claims() -%}
    {%- set levels = {} -%}
    {%- for name, level in {'patient': 'patients.source_level_', 'lead': 'leads.channel_level_'}.items() -%}
        {%- do levels.update({
            name: 'case when ' ~ level ~ '1 is not null then [' ~ level ~ '1, ' ~ level ~ '2, ' ~ level ~ '3] end'
        }) -%}
    {%- endfor -%}
    {{ return({
        'patient': {
            'name': 'patients.name',
            'nickname': 'patients.nickname',
            'gender': "nullif(patients.gender, '未知')",
            'birth_date': 'patients.birth_date',
            'id_number': 'patients.id_number',
            'city': 'patients.city',
            'phone': given_phone(patient_key('patients.patient_id'), 'own_phones.phone_e164', 'own_phones.phone'),
            'medical_record_no': 'patients.medical_record_no',
            'clinic_id': 'patients.clinic_id',
            'patient_type': 'patients.patient_type',
            'member_level': 'patients.member_level',
            'source_levels': levels['patient'],
            'patient_remark': 'patients.remark',
            'online_consultant_id': 'patients.online_consultant_id',
            'consultant_id': 'patients.consultant_id',
            'responsible_doctor_id': 'patients.responsible_doctor_id',
            'customer_service_id': 'patients.customer_service_id',
        },
        'mini_program_user': {
            'nickname': 'users.nickname',
            'avatar_url': 'users.avatar_url',
            'phone': given_phone(mini_program_key('users.app_id', 'users.openid'), phone_e164('users.phone'), 'users.phone'),
        },
        'official_account_fan': {
            'phone': given_phone(
                fan_key('bindings.app_id', 'bindings.openid'), phone_e164('bindings.phone'), 'bindings.phone'
            ),
        },
        'wecom_contact': {
            'nickname': 'contacts.nickname',
            'gender': "nullif(contacts.gender, '未知')",
            'phone': given_phone(
                wecom_key('remarks.corp_id', 'remarks.external_user_id'), phone_e164('remarks.phone'), 'remarks.phone'
            ),
        },
        'lead': {
            'name': 'leads.name',
            'phone': given_phone(lead_key('leads.lead_id'), phone_e164('leads.phone'), 'leads.phone'),
            'gender': "nullif(leads.gender, '未知')",
            'clinic_id': 'leads.clinic_id',
            'source_levels': levels['lead'],
        },
    }) }}
{%- endmacro %}


{# The declaration, once it is known to make sense: attribute → sources, record. #}
{% macro survivorship() -%}
    {%- set declared, said = var('survivorship'), claims() -%}
    {%- set problems = [] -%}
    {%- for attribute, rule in declared.items() -%}
        {%- for source in rule.sources if attribute not in said.get(source, {}) -%}
            {%- do problems.append(attribute ~ ': ' ~ source ~ ' does not give it / 该来源没有此属性') -%}
        {%- endfor -%}
        {%- if rule.record not in ('newest', 'oldest') -%}
            {%- do problems.append(attribute ~ ': record is newest or oldest / record 只能是 newest 或 oldest') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if problems -%}
        {{ exceptions.raise_compiler_error('survivorship: ' ~ problems | join('; ')) }}
    {%- endif -%}
    {{ return(declared) }}
{%- endmacro %}


{# Attribute → expression of what a source is asked for. #}
{% macro asked_of(source) -%}
    {%- set asked, said = {}, claims()[source] -%}
    {%- for attribute, rule in survivorship().items() if source in rule.sources -%}
        {%- do asked.update({attribute: said[attribute]}) -%}
    {%- endfor -%}
    {{ return(asked) }}
{%- endmacro %}


{# Per customer the value of each attribute that wins among a source's records, as `<prefix><attribute>`, and beside it
   as `<prefix><attribute>_origin` the record it is from: a struct of identity_key and known_at, null without a value.
   values: attribute → expression; at, tie: what says which record is newer (macro recency); key: the record's identity. #}
{% macro winners(values, prefix, at, tie, key) -%}
    {%- for attribute, value in values.items() -%}
    {%- set best = 'min' if survivorship()[attribute].record == 'oldest' else 'max' -%}
    {{ best }}_by({{ value }}, {{ recency(at, tie) }}) as {{ prefix }}{{ attribute }},
    case
        when count({{ value }}) > 0
            then struct_pack(
                identity_key := {{ best }}_by({{ key }}, {{ recency(at, tie) }}) filter (where {{ value }} is not null),
                known_at := {{ best }}({{ at }}) filter (where {{ value }} is not null)
            )
    end as {{ prefix }}{{ attribute }}_origin{{ "," if not loop.last }}
    {% endfor -%}
{%- endmacro %}


{# The surviving value of an attribute, where `files` and `contacts` are joined; with `_origin`, where it is from. #}
{% macro surviving(attribute, suffix='') -%}
    {%- set places = {
        'patient': 'files.',
        'mini_program_user': 'contacts.mini_program_',
        'official_account_fan': 'contacts.fan_',
        'wecom_contact': 'contacts.wecom_',
        'lead': 'contacts.lead_',
    } -%}
    coalesce(
        {%- for source in survivorship()[attribute].sources -%}
        {{ places[source] }}{{ attribute }}{{ suffix }}{{ ", " if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}
