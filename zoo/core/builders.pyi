"""The builders for type checkers and editors, which `make tables` writes."""

# builders: make tables
from zoo.models.admissions import admissions as admissions
from zoo.models.attention import attention as attention
from zoo.models.autoencoder import autoencoder as autoencoder
from zoo.models.bike_sharing import bike_sharing as bike_sharing
from zoo.models.crepe import crepe as crepe
from zoo.models.cyclegan import cyclegan as cyclegan
from zoo.models.dcgan import dcgan as dcgan
from zoo.models.detector import detector as detector
from zoo.models.edges import edges as edges
from zoo.models.efficientnet_lite import efficientnet_lite0 as efficientnet_lite0
from zoo.models.faces import faces as faces
from zoo.models.fashion_mnist import fashion_mnist as fashion_mnist
from zoo.models.flow_matching import flow_matching as flow_matching
from zoo.models.forecast import forecast as forecast
from zoo.models.gan import gan as gan
from zoo.models.grapheme_to_phoneme import grapheme_to_phoneme as grapheme_to_phoneme
from zoo.models.keywords import keywords as keywords
from zoo.models.language import language as language
from zoo.models.magika import magika as magika
from zoo.models.minilm import minilm as minilm
from zoo.models.mnist import mnist as mnist
from zoo.models.mnist import mnist_cnn as mnist_cnn
from zoo.models.person_segmentation import person_segmentation as person_segmentation
from zoo.models.pix2pix import pix2pix as pix2pix
from zoo.models.sentiment import sentiment as sentiment
from zoo.models.silero_vad import silero_vad as silero_vad
from zoo.models.style_transfer import style_transfer as style_transfer
from zoo.models.table import table as table
from zoo.models.text import text as text
from zoo.models.text_rnn import text_rnn as text_rnn
from zoo.models.text_transformer import text_transformer as text_transformer
from zoo.models.transfer_learning import flowers as flowers
from zoo.models.transfer_learning import landmarks as landmarks
from zoo.models.transfer_learning import skin_lesions as skin_lesions
from zoo.models.unet import unet as unet
from zoo.models.word2vec import word2vec as word2vec
from zoo.models.wordllama import wordllama as wordllama
# /builders
