# %% [markdown]
# # Deployment
#
# ## The idea
#
# A trained model is useful when others can ask it. Five steps: *build* (train, export, prove that the exported file computes what the model
# does), *deploy* (put the version where the server looks), *use* (send JSON, get JSON), *tune* (find better settings without looking at the
# test data), *update* (let the new version answer a small share of the requests first). PyTorch on SageMaker, as in the course, and TF Serving
# differ in names, not in steps.

# %% [markdown]
# ## Formulas
#
# ### How many requests a comparison needs
#
# A share $p$ of $n$ answers that differ is known up to about two standard errors:
#
# $$p \pm 2 \sqrt{\frac{p\,(1 - p)}{n}}$$
#
# Derivation: each answer is 1 with probability $p$ and else 0, which has the variance $p - p^2$. The mean of $n$ independent
# answers has the variance $p\,(1 - p) / n$, and about 95 % of a normal distribution lie within two standard deviations.
#
# ### A canary
#
# Each request goes to the new version with probability $c$. After $n$ requests the new version has answered about
#
# $$n c \pm 2 \sqrt{n c (1 - c)}$$
#
# Code: `export.serving.kserve_manifest.inference_service`
#
# ### Choosing by validation
#
# $$s^\ast = \arg\min_{s} E_{\mathrm{validation}}(s), \qquad E_{\mathrm{test}}(s^\ast) \; \mathrm{is\ measured\ once}$$
#
# Code: `zoo.training.trainer.train_best`
#
# What a request to TF Serving looks like:

# %%
import json

import numpy as np

import zoo

model = zoo.build("mnist", weights="default")
image = np.zeros((28, 28, 1), "float32")
request = json.dumps({"signature_name": "serving_default", "instances": [image.tolist()]})
instances = np.array(json.loads(request)["instances"], "float32")
answer = json.dumps({"predictions": np.asarray(model(instances)).tolist()})
print(len(request), "characters in,", answer[:60])
assert np.allclose(json.loads(answer)["predictions"], model(image[None]), atol=1e-6)

# %% [markdown]
# ## Exercises
#
# ### 1. The price of the test split
#
# Twenty models of pure noise are compared on 100 test rows, and the best is reported. How accurate does it seem, where 0.5 is the truth?

# %% solution
random = np.random.default_rng(0)
seeming = [max((random.random((20, 100)) < 0.5).mean(axis=1)) for _ in range(200)]
print(f"{np.mean(seeming):.3f}: choosing on the test split makes it a training split")
assert np.mean(seeming) > 0.55

# %% [markdown] why
# Each accuracy is 0.5 with a standard deviation of $\sqrt{0.25 / 100} = 0.05$. The largest of twenty such numbers lies about 1.9
# standard deviations above the mean, near 0.59. The choice has used the test labels, so that the reported number is no longer an
# estimate for new data. Choose on the validation split, and measure the chosen model once.

# %% [markdown]
# ### 2. Row and column form
#
# TF Serving takes a batch as `instances` (a list of rows) or `inputs` (a dict of columns). Write both for two rows with `age` and
# `height`, and a function from one to the other.

# %% starter
rows = [{"age": 30, "height": 1.7}, {"age": 40, "height": 1.8}]


def columns(rows):
    """Return {name: values} of rows."""
    return {}  # your function


# check
assert set(columns(rows)) == {"age", "height"}, f"not yet: the names are age and height, not {sorted(columns(rows))}"
assert columns(rows)["age"] == [30, 40], f"not yet: the ages are [30, 40], not {columns(rows)['age']}"
assert len(columns(rows[:1])["height"]) == 1, "not yet: it must take any number of rows"
print("right:", columns(rows))

# %% solution
rows = [{"age": 30, "height": 1.7}, {"age": 40, "height": 1.8}]


def columns(rows):
    """Return {name: values} of rows."""
    return {name: [row[name] for row in rows] for name in rows[0]}


assert columns(rows) == {"age": [30, 40], "height": [1.7, 1.8]}
print(json.dumps({"instances": rows}), json.dumps({"inputs": columns(rows)}))

# %% [markdown] why
# A row form lists examples, a column form lists the values of each input; both hold the same numbers. Rows repeat the names in
# each example, and TF Serving takes them for models whose inputs have the same batch axis. Columns also suit inputs without a
# batch axis, and are shorter for large batches.

# %% [markdown]
# ### 3. Is the canary worse?
#
# The old version was wrong in 50 of 1,000 requests, the canary in 9 of 100. Is that evidence? Compute both intervals.

# %% solution
intervals = {}
for name, wrong, of in (("old", 50, 1000), ("canary", 9, 100)):
    share = wrong / of
    error = 2 * np.sqrt(share * (1 - share) / of)
    intervals[name] = share - error, share + error
print(intervals, "they overlap: wait for more requests")
assert intervals["canary"][0] < intervals["old"][1]

# %% [markdown] why
# The intervals are 0.036 to 0.064 and 0.033 to 0.147, which overlap: a canary as good as the old version would often make 9
# errors of 100. With ten times fewer requests its interval is three times wider. Overlap is no proof that it is as good: decide
# in advance how large a difference matters, and collect as many requests as that needs.
