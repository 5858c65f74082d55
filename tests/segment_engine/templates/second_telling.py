"""What every template means, told a second time by hand: SQL over the marts, in which `$day` is the business day.

Written from the descriptions and not from the documents, so that a slip in either shows. Each query gives the keys of
the customers, repeated or not.
"""

from typing import Final

TAGS: Final = {
    "dormant_leads_30_days": """
        with contacts as (
            select customer_key, max(occurred_at)::date as last_on
            from marts.fct_lead_event where event in ('创建', '跟进') group by all
        )
        select customer_key
        from marts.dim_customer join contacts using (customer_key)
        where $day - last_on between 30 and 89 and last_visit_at is null
            and customer_key in (
                select customer_key from marts.fct_lead where status not in ('已预约', '已到店', '已转化', '无效')
            )
    """,
    "dormant_leads_90_days": """
        with contacts as (
            select customer_key, max(occurred_at)::date as last_on
            from marts.fct_lead_event where event in ('创建', '跟进') group by all
        )
        select customer_key
        from marts.dim_customer left join contacts using (customer_key)
        where coalesce($day - last_on, 90) >= 90 and visit_count = 0
            and customer_key in (
                select customer_key from marts.fct_lead where status not in ('已预约', '已到店', '已转化', '无效')
            )
    """,
    "booked_leads_missed": """
        select customer_key
        from marts.fct_appointment join marts.dim_customer using (customer_key)
        where is_lead and visit_count = 0 and next_appointment_at is null
            and scheduled_on >= $day - 90 and scheduled_on < $day and status in ('爽约', '已预约', '已确认')
    """,
    "booked_leads_cancelled": """
        select customer_key
        from marts.fct_appointment join marts.dim_customer using (customer_key)
        where is_lead and visit_count = 0 and next_appointment_at is null
            and status = '已取消' and cancelled_at::date > $day - 90 and cancelled_at::date <= $day
    """,
    "missing_teeth_without_deal": """
        select customer_key from marts.fct_medical_record
        where (diagnosis like '%牙列缺损%' or diagnosis like '%牙列缺失%')
            and recorded_at::date > $day - interval 1 year
        except
        select customer_key from marts.fct_bill_item
        where item_category in ('种植', '修复') and paid_fen > 0 and billed_on > $day - interval 1 year
    """,
    "malocclusion_without_deal": """
        select customer_key from marts.fct_medical_record
        where diagnosis similar to '.*(错合|反合|深覆合|牙列拥挤).*' and recorded_at::date > $day - interval 1 year
        except
        select customer_key from marts.fct_bill_item where item_category = '正畸' and paid_fen > 0
    """,
    "decay_without_deal": """
        select customer_key from marts.fct_medical_record
        where (contains(diagnosis, '龋') or contains(diagnosis, '牙髓') or contains(diagnosis, '根尖'))
            and recorded_at::date > $day - 180
        except
        select customer_key from marts.fct_bill_item
        where item_category in ('牙体牙髓', '儿牙') and paid_fen > 0 and billed_on > $day - 180
    """,
    "first_visit_without_deal": """
        select customer_key from marts.fct_visit
        where visit_type = '初诊' and status <> '已取消' and visited_on > $day - 90
        except
        select customer_key from marts.fct_bill where paid_fen > refunded_fen and billed_on > $day - 90
    """,
    "return_visit_without_deal": """
        select customer_key from marts.fct_visit
        where (visit_type = '复诊' or visit_type = '复查') and status <> '已取消' and visited_on > $day - 90
        except
        select customer_key from marts.fct_bill where paid_fen > refunded_fen and billed_on > $day - 90
    """,
    "unfinished_execution_not_booked": """
        select customer_key
        from marts.fct_execution join marts.dim_customer using (customer_key)
        where stage not in ('已完成', '已终止') and next_appointment_at is null
    """,
    "card_times_left": """
        select customer_key from marts.fct_card_asset where remaining_times >= 1 and not is_expired
    """,
    "suggestion_partly_charged": """
        select customer_key from marts.fct_treatment_suggestion where charge_status not in ('未收费', '已收费')
    """,
    "urgent_suggestion_not_charged": """
        select customer_key from marts.fct_treatment_suggestion
        where (priority, review_status, charge_status) = ('高', '已审核', '未收费') and suggested_at::date > $day - 180
        except
        select customer_key from marts.dim_customer where next_appointment_at is not null
    """,
    "poor_examination_to_follow_up": """
        select customer_key from marts.fct_oral_examination
        where health_grade not in ('健康', '良好') and follow_up_status not in ('已成交', '已流失')
            and examined_at::date > $day - 180
        except
        select customer_key from marts.dim_customer where next_appointment_at is not null
    """,
    "cleaning_due": """
        select customer_key
        from marts.fct_visit join marts.dim_customer using (customer_key)
        where visit_type = '洁牙' and status <> '已取消' and next_appointment_at is null
        group by customer_key
        having max(visited_on) <= $day - 180 and max(visited_on) > $day - interval 2 year
    """,
    "praising_180_days": """
        select customer_key from marts.fct_review
        where submitted_on > $day - 180
        group by customer_key
        having bool_and(rating_level = '好评')
    """,
    "complaining_90_days": """
        select customer_key from marts.fct_review where rating_level <> '好评' and submitted_on > $day - 90
    """,
    "dissatisfied_on_call": """
        select customer_key from marts.fct_follow_up where result = '不满意' and done_at::date > $day - 90
    """,
    "valuable_and_complaining": """
        select customer_key from marts.dim_customer where bill_count > 3
        intersect
        select customer_key from marts.fct_review where rating_level <> '好评' and submitted_on > $day - 90
    """,
    "sleeping_180_days": """
        select customer_key from marts.fct_visit
        where status <> '已取消'
        group by customer_key
        having $day - max(visited_on) >= 180 and $day - max(visited_on) < 365
        except
        select customer_key from marts.fct_appointment
        where status in ('已预约', '已确认') and scheduled_on > (select as_of from meta.publication)
    """,
    "sleeping_1_year": """
        select customer_key from marts.fct_visit
        where status <> '已取消'
        group by customer_key
        having $day - max(visited_on) >= 365
        except
        select customer_key from marts.fct_appointment
        where status in ('已预约', '已确认') and scheduled_on > (select as_of from meta.publication)
    """,
    "treatment_broken_off": """
        select customer_key
        from marts.fct_execution join marts.dim_customer using (customer_key)
        where stage = '执行中' and last_visit_at::date <= $day - 60 and next_appointment_at is null
    """,
    "repeated_no_shows": """
        select customer_key
        from marts.fct_appointment join marts.dim_customer using (customer_key)
        where status = '爽约' and scheduled_on between $day - 179 and $day and next_appointment_at is null
        group by customer_key
        having count(*) > 1
    """,
    "left_our_channels": """
        with leaving as (
            select customer_key from marts.fct_official_account_event
            join marts.dim_customer using (customer_key)
            where event = '取消关注' and occurred_at::date > $day - 90 and not is_subscribed
            union
            select customer_key from marts.fct_wecom_event
            where event = '删除' and removed_by = '客户' and occurred_at::date > $day - 90
        )
        select customer_key from marts.dim_customer semi join leaving using (customer_key) where visit_count > 0
    """,
    "spent_1000_to_10000": """
        select items.customer_key
        from marts.fct_bill_item as items left join marts.fct_bill as bills using (bill_id)
        where bills.bill_type is distinct from '充值'
        group by all
        having sum(items.paid_fen) between 100000 and 999999
    """,
    "spent_10000_and_more": """
        select items.customer_key
        from marts.fct_bill_item as items left join marts.fct_bill as bills using (bill_id)
        where bills.bill_type is distinct from '充值'
        group by all
        having sum(items.paid_fen) > 999999
    """,
    "billed_often_1_year": """
        select customer_key from marts.fct_bill
        where status <> '已作废' and billed_on > $day - interval 1 year
        group by customer_key
        having count(*) > 2
    """,
    "referred_several_1_year": """
        select related_customer_key as customer_key from marts.customer_relation
        where relation = '推荐人' and known_at::date > $day - interval 1 year
        group by all
        having count(distinct customer_relation.customer_key) > 1
    """,
    "referred_a_buyer": """
        select relations.related_customer_key as customer_key
        from marts.customer_relation as relations join marts.dim_customer using (customer_key)
        where relation = '推荐人' and new_money_paid_fen > 0
    """,
    "could_refer": """
        select customer_key
        from marts.fct_review join marts.dim_customer using (customer_key)
        where rating_level = '好评' and submitted_on > $day - 180 and visit_count > 1
        except
        select related_customer_key from marts.customer_relation where relation = '推荐人'
    """,
}  # fmt: skip

SEGMENTS: Final = {
    "first_complaint_without_deal": """
        select customer_key from marts.fct_medical_record
        where record_type in ('初诊病历', '正畸初诊病历') and recorded_at::date > $day - 90
        except
        select customer_key from marts.fct_bill where paid_fen > refunded_fen and billed_on > $day - 90
    """,
    "expected_tomorrow": """
        select customer_key from marts.fct_appointment
        where scheduled_on = $day + 1 and status in ('已预约', '已确认')
    """,
    "cards_expiring_7_days": """
        select customer_key from marts.fct_coupon where state = '可使用' and valid_to between $day and $day + 6
        union
        select customer_key from marts.fct_card_asset where not is_used_up and valid_to between $day and $day + 6
    """,
    "men": "select customer_key from marts.dim_customer where gender = '男'",
    "early_orthodontics_campaign": """
        select customer_key from marts.fct_mini_program_event
        where campaign_name = '早矫打卡' and event = '浏览营销活动'
    """,
    "first_visits_past_week": """
        select customer_key from marts.fct_appointment
        where visit_type = '初诊' and arrived_at::date between $day - 6 and $day
    """,
}  # fmt: skip

SECOND_TELLING: Final = TAGS | SEGMENTS
