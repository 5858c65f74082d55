{# A phone number in E.164, or null when the text is none: the text of `phone_e164_sql` in pipelines/identity/keys.py,
   which says what the forms are; tests/dbt holds the two together. #}
{% macro phone_e164(column) -%}
{%- set country %}(?:[+]|00)?86{% endset -%}
{%- set extension %}(?:-+[0-9]{1,6})?${% endset -%}
{%- set noise %}(?:转|分机|[Ee]xt|[xX#*]).*$|[,;](?:[^0-9]*[0-9]){0,6}[^0-9]*$|[^0-9+,;-]{% endset -%}
{%- set cleaned -%}
    regexp_replace(translate({{ column }}, '０１２３４５６７８９＋－', '0123456789+-'), '{{ noise }}', '', 'g')
{%- endset -%}
{%- set mobile %}^(?:{{ country }})?-*0?(1-*[3-9](?:-*[0-9]){9}){{ extension }}{% endset -%}
{%- set service %}^(?:{{ country }})?-*([48]-*0-*0(?:-*[0-9]){7}){{ extension }}{% endset -%}
{%- set landline -%}
    ^(?:(?:{{ country }})?-*0|(?:[+]|00)86-*)((?:10|2[0-9]|[3-9][0-9]{2})-*[2-9][0-9]{2,3}-*[0-9]{4}){{ extension }}
{%- endset -%}
{%- set abroad %}^(?:[+]|00)-*((?:[1-79]-*[0-9]|8-*[0-57-9])(?:-*[0-9]){5,12})${% endset -%}
case
    when regexp_full_match({{ column }}, '1[3-9][0-9]{9}') then '+86' || {{ column }}
    when regexp_full_match({{ column }}, '[+]861[3-9][0-9]{9}') then {{ column }}
    else coalesce(
        '+86' || nullif(replace(regexp_extract({{ cleaned }}, '{{ mobile }}', 1), '-', ''), ''),
        '+86' || nullif(replace(regexp_extract({{ cleaned }}, '{{ service }}', 1), '-', ''), ''),
        '+86' || nullif(replace(regexp_extract({{ cleaned }}, '{{ landline }}', 1), '-', ''), ''),
        '+' || nullif(replace(regexp_extract({{ cleaned }}, '{{ abroad }}', 1), '-', ''), '')
    )
end
{%- endmacro %}


{# Why a number in E.164 can prove nothing about who holds it, or null when it can. #}
{% macro blocked_phone_reason(phone) -%}
case
    when not starts_with({{ phone }}, '+86') then null
    when not regexp_full_match({{ phone }}, '[+]861[3-9][0-9]{9}') then 'landline_or_service_number'
    when right({{ phone }}, 9) = repeat(right({{ phone }}, 1), 9) then 'same_digits'
    when right({{ phone }}, 11) in (
        '13800138000', '13800000000', '13900000000', '13000000000', '13812345678', '13912345678', '13012345678',
        '15012345678', '18012345678', '18812345678', '13123456789', '13800138001'
    ) then 'well_known_fake'
end
{%- endmacro %}


{# A number as people here write it: a mainland mobile in eleven digits, any other as the source has it. #}
{% macro national_phone(e164, original) -%}
case when regexp_full_match({{ e164 }}, '[+]861[3-9][0-9]{9}') then right({{ e164 }}, 11) else {{ original }} end
{%- endmacro %}
