"""What can be set, and which runs do a config's base and grid stand for?

A config is one base run plus a grid: `config.sweep` is a tuple of dicts, each overriding fields of
the base (dotted names reach into `renderings`), and `config.seeds` repeats every one of them. All
user input is checked here, once, before anything is computed.
"""

from __future__ import annotations

from ml_collections import ConfigDict, config_dict

from sparsity_jax.config.run_config import FULL_WIDTH
from sparsity_jax.data.stream import DEVICE_BYTES


def default_config() -> ConfigDict:
    """The paper's default run (Sec. 2.1 and 5): BasicNet, Adam, L2 1e-4, batch 40, 325 epochs.

    Returns:
      A locked ConfigDict; its comments are the documentation of every field.
    """
    config = ConfigDict()
    config.name = "run"  # names the default workdir, runs/<name>
    config.data = "renderings"  # what to train on; `python -m sparsity_jax.data --help` lists them
    config.data_dir = config_dict.placeholder(str)  # prepared data; default ~/.cache/sparsity_jax
    config.renderings = ConfigDict(  # only read when data is 'renderings'
        {
            "classes": 10,
            "size": 32,
            "background": "clean",  # or 'cluttered': the same views in front of clutter
            "train_views": 10_000,
            "test_views": 2_000,
            "seed": 0,
        }
    )
    config.network = "BasicNet"
    config.width = FULL_WIDTH  # a multiplier ('0.25') or the paper's 64-0.5x, 32-0.25x
    config.pool_after = (1, 3, 5)  # BasicNet's pools; the paper does not publish them
    config.pool = "max2"  # 2x2 stride 2; max3: 3x3 stride 2; max3_padded: 'same'; avg2: 2x2 average
    config.stride_2 = ()  # convolutions with stride 2, such as (1,)
    config.norm_parts = 1  # parts of a batch that BatchNorm normalises each by itself
    config.negative_slope = 0.0  # above 0: leaky ReLU
    config.optimizer = "adam"
    config.learning_rate = config_dict.placeholder(float)  # default: the optimizer's own
    config.regularizer = "l2"  # l2: strength * theta joins the gradient; wd: decoupled; none
    config.strength = 1e-4
    config.wd_mode = "schedule"  # wd follows the schedule; 'constant' never drops; 'lr' is AdamW
    config.gamma_lr_scale = 1.0
    config.beta_lr_scale = 1.0
    config.beta_init = 0.0
    config.batch_size = 40
    config.reference_batch = 40  # epochs count N // reference_batch steps, whatever the batch size
    config.epochs = 325.0
    config.drops = ((250.0, 0.1),)  # from this epoch on, this multiple of the base learning rate
    config.scale = 1.0  # multiplies every duration
    config.evaluations = 0  # how many evaluations a run has; 0: one an epoch
    config.flip = True  # random horizontal flips
    config.augment = config_dict.placeholder(str)  # flip, crop (7/8 of each side), resized_crop,
    #                                   pad_crop; default: crop for imagenet2012, else flip
    config.pad = 4  # pad_crop: black pixels around an image, of which a crop of its size is cut
    config.device_bytes = DEVICE_BYTES  # sets with more training pixels stream; same results
    config.precision = "float32"  # or 'bfloat16': activations and products; norms stay float32
    config.members = 0  # runs that train in one program at most; 0: as many as is fast and fits
    config.member_map = config_dict.placeholder(str)  # unroll, vmap, map; default: the fastest
    config.split = "members"  # what devices divide: a grid's members, or the 'batch' of each run
    config.device_map = "shard_map"  # how members go to devices; or 'pmap', the same bits
    config.criterion = "gamma"  # which filters go: |gamma| < 1e-3; or a baseline: l1, slimming
    config.prune_fraction = 0.5  # baselines only: the share of filters that goes, by layer in l1
    config.prune_layers = ()  # l1 only: names such as 'C1'; the others stay whole; (): all layers
    config.prune_mode = "author"  # drops beta; 'exact' folds act(beta) into the layers that follow
    config.finetune_epochs = 0.0  # train on after pruning, at the run's last learning rate
    config.latency_seconds = 3.0  # spent on timing each run's networks; 0: not timed
    config.gamma_l1 = 0.0  # strength of an L1 penalty on gamma while training (Network Slimming)
    config.checkpoint_seconds = 60.0  # between checkpoints; a kill loses no more training than that
    config.deterministic = False  # on GPUs, only kernels that repeat bit for bit; slower
    config.store = config_dict.placeholder(str)  # folder of finished runs that grids share
    config.seeds = 1  # repeat every run with seeds 0 ... seeds - 1
    config.sweep = ()  # dicts of overrides, one a run
    config.lock()
    return config
