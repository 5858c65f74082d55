{# A phone number in E.164, or null when the text is none. The same SQL text as `phone_e164_sql` in
   pipelines/identity/keys.py; tests/dbt holds the two together.
   Full-width digits, blanks, dashes and brackets are accepted; a mainland mobile may carry +86, 0086, 86 or a trunk 0. #}
{% macro phone_e164(expression) -%}
{%- set digits = "regexp_replace(translate(" ~ expression ~ ", '０１２３４５６７８９＋', '0123456789+'), '[^0-9+]', '', 'g')" -%}
case
    when regexp_full_match({{ expression }}, '1[3-9][0-9]{9}')
        then '+86' || {{ expression }}
    when regexp_full_match({{ digits }}, '(\+86|0086|86|0)?1[3-9][0-9]{9}')
        then '+86' || right({{ digits }}, 11)
    when regexp_full_match({{ digits }}, '(\+86|0086|86)?[48]00[0-9]{7}')
        then '+86' || right({{ digits }}, 10)
    when regexp_full_match({{ digits }}, '((\+86|0086|86)?0|\+86|0086)(10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}')
        then '+86' || regexp_replace({{ digits }}, '^(\+86|0086|86)?0?', '')
    when regexp_full_match({{ digits }}, '(\+|00)([1-79][0-9]|8[0-57-9])[0-9]{5,12}')
        then '+' || regexp_replace({{ digits }}, '^(\+|00)', '')
end
{%- endmacro %}


{# Why a number in E.164 can prove nothing about who holds it, or null when it can. #}
{% macro blocked_phone_reason(phone) -%}
case
    when not starts_with({{ phone }}, '+86') then null
    when not regexp_full_match({{ phone }}, '\+861[3-9][0-9]{9}') then 'landline_or_service_number'
    when right({{ phone }}, 9) = repeat(right({{ phone }}, 1), 9) then 'same_digits'
    when right({{ phone }}, 11) in (
        '13800138000', '13800000000', '13900000000', '13000000000', '13812345678', '13912345678', '13012345678',
        '15012345678', '18012345678', '18812345678', '13123456789', '13800138001'
    ) then 'well_known_fake'
end
{%- endmacro %}


{# A number as people here write it: a mainland mobile in eleven digits, any other as the source has it. #}
{% macro national_phone(e164, original) -%}
case when {{ e164 }} is null or not starts_with({{ e164 }}, '+861') then {{ original }} else right({{ e164 }}, 11) end
{%- endmacro %}
