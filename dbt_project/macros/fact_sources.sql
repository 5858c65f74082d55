{# Which staged rows a fact is made of and how they find their customer: fact → staged model, mapping, key of the mapping.
   Facts made of two sources (payments with refunds, WeCom adding with removing) and unfolded children are not in it. #}
{% macro fact_sources() -%}
    {{ return({
        'fct_appointment': ['stg_saas__appointments', 'int_patient_customer', 'patient_id'],
        'fct_visit': ['stg_saas__visits', 'int_patient_customer', 'patient_id'],
        'fct_medical_record': ['stg_saas__medical_records', 'int_patient_customer', 'patient_id'],
        'fct_oral_examination': ['stg_saas__oral_examinations', 'int_patient_customer', 'patient_id'],
        'fct_oral_finding': ['stg_saas__oral_findings', 'int_patient_customer', 'patient_id'],
        'fct_image': ['stg_saas__images', 'int_patient_customer', 'patient_id'],
        'fct_treatment_suggestion': ['stg_saas__treatment_suggestions', 'int_patient_customer', 'patient_id'],
        'fct_execution': ['stg_saas__executions', 'int_patient_customer', 'patient_id'],
        'fct_bill': ['stg_saas__bills', 'int_patient_customer', 'patient_id'],
        'fct_bill_item': ['stg_saas__bill_items', 'int_patient_customer', 'patient_id'],
        'fct_follow_up': ['stg_saas__follow_ups', 'int_patient_customer', 'patient_id'],
        'fct_stored_value_account': ['stg_saas__stored_value_accounts', 'int_patient_customer', 'patient_id'],
        'fct_card_asset': ['stg_saas__card_assets', 'int_patient_customer', 'patient_id'],
        'fct_coupon': ['stg_operational__coupons', 'int_patient_customer', 'patient_id'],
        'fct_points_entry': ['stg_operational__points_entries', 'int_patient_customer', 'patient_id'],
        'fct_checkin_slot': ['stg_operational__checkin_slots', 'int_patient_customer', 'patient_id'],
        'fct_checkin_round': ['stg_operational__checkin_rounds', 'int_patient_customer', 'patient_id'],
        'fct_review': ['stg_operational__reviews', 'int_patient_customer', 'patient_id'],
        'fct_lead': ['stg_leads__leads', 'int_lead_customer', 'lead_id'],
        'fct_lead_event': ['int_lead_event', 'int_lead_customer', 'lead_id'],
        'fct_mini_program_event': ['stg_mini_program__events', 'int_mini_program_customer', 'app_id, openid'],
        'fct_official_account_event': ['stg_official_account__follow_events', 'int_fan_customer', 'app_id, openid'],
        'fct_wecom_tag': ['stg_wecom__contact_tags', 'int_wecom_customer', 'corp_id, external_user_id'],
    }) }}
{%- endmacro %}
